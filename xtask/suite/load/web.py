"""The web server of the mixed load: nginx and Python's http.server, with clients, until the time is over.

    web.py FOLDER SECONDS PORT PORT
"""

import hashlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time

folder, seconds, ports = sys.argv[1], float(sys.argv[2]), [int(port) for port in sys.argv[3:5]]
end = time.time() + seconds
os.environ["PATH"] += ":/usr/sbin"
CONFIG = f"""
daemon off; worker_processes 2; user root; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi; uwsgi_temp_path {folder}/uwsgi;
    sendfile on; gzip on; gzip_min_length 1000; gzip_types *;
    server {{
        listen 127.0.0.1:{ports[0]}; root {folder}/www; client_max_body_size 9m;
        location /python/ {{ proxy_pass http://127.0.0.1:{ports[1]}/; }}
    }}
}}
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and answers an upload with its hash."""

    def __init__(self, *args):
        super().__init__(*args, directory=f"{folder}/www")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = hashlib.sha256(body).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", ports[1]), Handler)
    threading.Timer(end + 2 - time.time(), server.shutdown).start()
    server.serve_forever()
    server.server_close()


def wait_for(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def client():
    upload = os.urandom(300_000)
    while time.time() < end:
        connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=60)
        for size in [100, 10_000, 1_000_000]:
            connection.request("GET", f"/{size}", headers={"Accept-Encoding": "gzip" if size < 1e6 else ""})
            connection.getresponse().read()
            connection.request("GET", f"/python/{size}")
            assert len(connection.getresponse().read()) == size
        connection.request("POST", "/python/upload", body=upload)
        assert connection.getresponse().read().decode() == hashlib.sha256(upload).hexdigest()
        connection.close()
        time.sleep(0.02)


def main():
    os.mkdir(f"{folder}/www")
    for size in [100, 10_000, 1_000_000]:
        with open(f"{folder}/www/{size}", "wb") as file:
            file.write(b"0123456789" * (size // 10))
    with open(f"{folder}/nginx.conf", "w") as file:
        file.write(CONFIG)
    nginx = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"])
    if os.fork() == 0:
        serve()
        os._exit(0)
    for port in ports:
        wait_for(port)
    clients = [threading.Thread(target=client) for _ in range(3)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    nginx.terminate()
    nginx.wait()
    os.wait()


main()
