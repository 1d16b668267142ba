#!/bin/sh
# A server looks for the others where it saw them last. Pods have other addresses after they start anew: when that happens
# to all of them at once, nobody finds anybody. So each one looks the names up and introduces itself where an address is new.
# Servers that are in no cluster yet stay so: redis-create makes one of them.
set -u
while sleep "${EVERY:-5}"; do
  nodes=$(redis-cli -h "$POD_IP" cluster nodes 2>/dev/null) || continue
  [ "$(printf '%s\n' "$nodes" | grep -c .)" -gt 1 ] || continue
  for server in $SERVERS; do
    address=$(getent ahostsv4 "$server" | head -n 1 | cut -d ' ' -f 1)
    [ -n "$address" ] || continue
    printf '%s\n' "$nodes" | grep -qF " $address:6379@" && continue
    echo "$server is at $address now"
    redis-cli -h "$POD_IP" cluster meet "$address" 6379 >/dev/null
  done
done
