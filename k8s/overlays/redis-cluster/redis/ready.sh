#!/bin/sh
# Ready is a server that answers and, once it is part of a cluster, is in touch with the most of it: an update of all
# servers then waits until the cluster is whole again.
info=$(redis-cli cluster info) || exit 1
case "$info" in
  *cluster_known_nodes:1[!0-9]*) exit 0 ;; # not made yet
  *cluster_state:ok*) ;;
  *) exit 1 ;;
esac
# A replica must have its master's state, or it could not take over.
case "$(redis-cli info replication)" in *role:slave*master_link_status:down*) exit 1 ;; esac
