# The compiler of the mixed load: make generates, compiles, archives, links and runs C programs until
# the time is over.
#
#   compiler.sh FOLDER SECONDS
set -eu
cd "$1"
end=$(($(date +%s) + $2))

cat > Makefile <<'EOF'
CC = gcc
names = $(shell seq 1 8)
program: main.o parts.a
	$(CC) -g main.o parts.a -o $@
parts.a: $(names:%=part%.o)
	ar rcs $@ $^
%.o: %.c
	$(CC) -pipe -O1 -g -Wall -c $< -o $@
main.c:
	( for n in $(names); do echo "int part$$n(int);"; done; echo 'int main(void) { int sum = 0;'; \
	  for n in $(names); do echo "sum += part$$n(sum);"; done; echo 'return sum & 1; }' ) > $@
part%.c:
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <regex.h>\n#include <sys/socket.h>\n' > $@
	printf 'int part$*(int n) { char text[99]; snprintf(text, 99, "%%d", n + $*); return atoi(text); }\n' >> $@
EOF

round=0
while [ "$(date +%s)" -lt "$end" ]; do
    round=$((round + 1))
    mkdir "build$round"
    ( cd "build$round" && make --quiet -j2 -f ../Makefile program && ( ./program || true ) )
    # Copies within the kernel, pipes between processes, and a program that seeks.
    cp -r "build$round" copy
    tar -cf - copy | gzip -1 > "round$round.tar.gz"
    gzip -dc "round$round.tar.gz" | tar -tvf - | sort | cksum > list
    grep -rl regex "build$round" | wc -l >> list
    objdump -d copy/program | sed -n '1,400p' | awk '{ sum += NF } END { print sum }' >> list
    rm -r copy "build$round" "round$round.tar.gz"
done
echo "$round rounds of the compiler"
