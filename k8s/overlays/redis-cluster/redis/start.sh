#!/bin/sh
# Starts one server. The password goes into a file in memory: a command line can be read by others.
set -eu
umask 077
{
  cat /etc/redis/redis.conf
  printf 'requirepass "%s"\nmasterauth "%s"\ncluster-announce-ip %s\n' "$REDISCLI_AUTH" "$REDISCLI_AUTH" "$POD_IP"
} >/run/redis/redis.conf
exec redis-server /run/redis/redis.conf
