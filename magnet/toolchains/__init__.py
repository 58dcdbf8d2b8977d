"""Compilers and the tools around them, on this machine or in an image: one file each."""
