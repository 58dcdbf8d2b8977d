package main

import "fmt"

func greeting(whom string) string {
	return "Hello " + whom
}

func main() {
	fmt.Println(greeting("World"))
}
