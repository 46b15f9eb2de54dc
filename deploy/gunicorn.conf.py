"""Settings of gunicorn behind the reverse proxy.

Start: ``gunicorn -c deploy/gunicorn.conf.py leaderboard.wsgi``. Only the proxy can reach the
socket. It sends a request on once it has all of it, so a thread never waits for a slow visitor;
threads wait for the database, and serve cached pages from one cache in each process.
"""

bind = "unix:/run/holdfast/site.sock"
worker_class = "gthread"
workers = 2
threads = 16
timeout = 60
graceful_timeout = 30
keepalive = 75
backlog = 512
control_socket_disable = True
max_requests = 20_000
max_requests_jitter = 2_000
limit_request_line = 8_190
limit_request_fields = 50
worker_tmp_dir = "/dev/shm"  # noqa: S108 - a heartbeat file that must not wait for a disk
