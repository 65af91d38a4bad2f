# A little of everything that the page shows, over and over. $1: bubble-workload; $2: a folder.
while true; do
    "$1" --directory "$2" file --by read-write --bytes 4096000
    "$1" burn --seconds 0.6
    "$1" --directory "$2" unix --kind stream
    "$1" processes --count 20 --us 1000
    "$1" tcp-server --listen 127.0.0.1:"$3" &
    sleep 0.2
    "$1" --directory "$2" tcp-client --connect 127.0.0.1:"$3"
    wait $!
    "$1" memory --mib 48 --seconds 1
    sleep 1
done
