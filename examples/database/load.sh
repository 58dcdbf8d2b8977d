# Takes a row as its argument.
echo "$1" >>/db/table
echo "loaded $1"
