# A small web shop that runs until it is stopped. $1: bubble-workload; $2: a folder; $3: a free port on
# 127.0.0.1; $4: MiB that resizing a picture takes, or 0 to resize none.
cd "$2" || exit
trap 'trap - TERM; kill -s TERM 0' TERM
for name in shop-server shop-client image-resize; do
    ln -sf "$1" "$name"
done
./shop-server shop server --listen 127.0.0.1:"$3" --database shop.db &
sleep 0.5
./shop-client shop client --connect 127.0.0.1:"$3" &
round=0
while true; do
    # A batch of short processes.
    for number in 1 2 3 4 5 6 7 8; do
        head -c 400000 shop.db | gzip -c >"report-$number.gz"
        sha256sum "report-$number.gz"
    done
    if [ "$4" -gt 0 ] && [ $((round % 6)) = 1 ]; then
        ./image-resize shop resize --mib "$4" --mib-per-second 12 || true
    fi
    round=$((round + 1))
    sleep 5 &
    wait $!
done
