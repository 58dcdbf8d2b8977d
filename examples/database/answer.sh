# A key comes in, a value goes out.
read -r key || exit 0
sed -n "s/^$key=//p" /db/table
