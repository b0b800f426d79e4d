# A container's cgroup and sysctl mounts are read-only; the engine inside writes both.
for controller in /sys/fs/cgroup/*; do
  mountpoint -q "$controller" && mount -o remount,bind,rw "$controller"
done
mount -o remount,rw /sys/fs/cgroup 2>/dev/null
mount -t securityfs none /sys/kernel/security 2>/dev/null
mount -o remount,rw /proc/sys 2>/dev/null
rm -f /var/run/docker.pid
exec dockerd -H unix:///var/run/docker.sock -H tcp://0.0.0.0:2375 --tls=false ${DOCKERD_FLAGS:-}
