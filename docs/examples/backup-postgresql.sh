#!/bin/sh
# Back up Gatehouse's database on PostgreSQL, for a timer:
#
#   backup-postgresql.sh DATABASE FOLDER KEEP
#
# DATABASE is a URL for libpq. The password belongs in ~/.pgpass, not into the URL, which other
# users see in the list of processes. The oldest dumps beyond KEEP are deleted, but only once the
# new one has been read to its end.
set -eu
umask 077
database=$1 folder=$2 keep=$3

file=$folder/gatehouse-$(date -u +%Y%m%dT%H%M%SZ).dump
trap 'rm -f "$file.part"' EXIT
# The table holds leases of running processes.
pg_dump --format=custom --exclude-table-data=workers --file="$file.part" "$database"
pg_restore --file=/dev/null "$file.part"
mv "$file.part" "$file"
echo "$file"

find "$folder" -maxdepth 1 -type f -name 'gatehouse-*T*Z.dump' ! -path "$file" | sort -r |
    tail -n "+$keep" | while read -r oldest; do
    rm "$oldest"
    echo "$oldest: deleted"
done
# What a killed run has left.
find "$folder" -maxdepth 1 -type f -name 'gatehouse-*T*Z.dump.part' -mtime +1 -delete
