# A mixed load for busybox alone, which is all that a guest has.
#
#   busybox sh shell.sh FOLDER SECONDS PORT
set -eu
cd "$1"
end=$(($(date +%s) + $2))
mkdir www
dd if=/dev/urandom of=www/random bs=1000 count=500 2> /dev/null
httpd -f -p "127.0.0.1:$3" -h www &
server=$!
until wget -q -O /dev/null "http://127.0.0.1:$3/random" 2> /dev/null; do
    sleep 0.1
done

round=0
while [ "$round" -eq 0 ] || [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    mkdir "tree$round"
    for n in $(seq 1 10); do
        seq 1 "$((n * 100))" > "tree$round/$n"
        wget -q -O "tree$round/random$n" "http://127.0.0.1:$3/random"
    done
    cp -r "tree$round" copy
    tar -cf - copy | gzip -1 > "$round.tar.gz"
    gzip -dc "$round.tar.gz" | tar -xOf - | wc -c
    grep -rl 77 "tree$round" | sort | while read -r name; do md5sum "$name"; done | awk '{ print $1 }' | sort -u | wc -l
    find copy -type f -exec cmp {} {} \; -exec sed -i 's/1/2/' {} \;
    cat /proc/self/stat /proc/meminfo > /dev/null
    # A program that does not exist, and one that is killed.
    nonexistent 2> /dev/null || true
    sleep 100 &
    kill -9 "$!"
    rm -r "tree$round" copy "$round.tar.gz"
done
kill "$server"
wait || true
