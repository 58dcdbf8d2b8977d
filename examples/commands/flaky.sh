# Fails every other time.
if [ -e been ]; then
    rm been
    echo works
else
    touch been
    echo "not yet" >&2
    exit 75
fi
