# SPDX-License-Identifier: MIT
"""Serves the page, and what it shows, to a browser on this computer.

Any page that the browser has open, and any user of this computer, can send requests here.  So the
address has a key that nobody else knows; a request must name this host, or it came by a name that
somebody else's DNS gave out; and one that the browser says comes from another page is refused.
"""

import http.server
import json
import re
import secrets
import time
from pathlib import Path

import kernel
import picture

HERE = Path(__file__).resolve().parent
FILES = {"": ("watch.html", "text/html"), "watch.js": ("watch.js", "text/javascript"),
         "watch.css": ("watch.css", "text/css")}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
}
BODY_MAX = 4096
WATCHERS_MAX = 16
PING = 2  # seconds after which a page that is gone is noticed
PERIODS = 0.05, 5.0  # seconds between two steps of slow motion

# The map of vm/layout.h, from the top down: bounds, and what stands there.
MAP = (("IMAGE_BASE", "", "kernel image", "text RX, rodata R, data RW"),
       ("KSTACK_BASE", "KSTACK_END", "kernel stacks", "this window: guards and stacks"),
       ("VMALLOC_BASE", "VMALLOC_END", "vmalloc", "larger objects of the kernel"),
       ("DEVICE_BASE", "DEVICE_END", "devices", "registers"),
       ("SHADOW_BASE", "SHADOW_END", "shadow", "only with KASAN=y"),
       ("DIRECT_BASE", "DIRECT_END", "all of RAM", "never executable"),
       ("", "USER_END", "user half", "of the process that runs"))


def regions():
    return [{"lo": f"{kernel.layout(lo) if lo else 0:#x}",
             "hi": f"{kernel.layout(hi) if hi else 1 << 64:#x}", "name": name, "what": what}
            for lo, hi, name, what in MAP]


def greeting():
    return {"hello": {"map": regions(), **{name.split("_")[1].lower(): kernel.layout(name) for name
                      in ("KSTACK_SIZE", "KSTACK_GUARD", "KSTACK_SLOT", "KSTACK_RESERVE")},
                      "base": f"{kernel.layout('KSTACK_BASE'):#x}", "most": picture.SLOTS_MAX}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server_version, sys_version = "watch", ""

    def log_message(self, *_):
        pass  # the terminal is the machine's

    def refuse(self, code, why):
        self.close_connection = True
        self.answer(code, "text/plain", (why + "\n").encode())

    def answer(self, code, kind, data):
        self.send_response(code)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def path_asked(self):
        """What stands behind the key, or None when the request was refused."""
        server = self.server
        if self.headers.get("Host") not in server.hosts:
            self.refuse(421, "This server is 127.0.0.1: it has no other name.")
            return None
        match = re.fullmatch(r"/([\w-]+)/([\w.]*)", self.path)
        if not match or not secrets.compare_digest(match[1], server.key):
            self.refuse(404, "The address is the one that `make watch` has printed.")
            return None
        asks, site = match[2], self.headers.get("Sec-Fetch-Site", "none")
        origin = self.headers.get("Origin")
        if site not in ("none", "same-origin") or \
                origin and origin not in [f"http://{host}" for host in server.hosts]:
            self.refuse(403, "Only the page itself may ask.")
            return None
        return asks

    def do_GET(self):  # pylint: disable=invalid-name
        asks = self.path_asked()
        if asks in FILES:
            name, kind = FILES[asks]
            self.answer(200, kind, (HERE / name).read_bytes())
        elif asks == "events":
            self.stream()
        elif asks is not None:
            self.refuse(404, "There is no such page.")

    def do_POST(self):  # pylint: disable=invalid-name
        asks = self.path_asked()
        if asks is None:
            return
        try:
            size = int(self.headers.get("Content-Length", ""))
            if not 0 <= size <= BODY_MAX or not self.headers.get("Origin") or \
                    self.headers.get("Content-Type") != "application/json":
                raise ValueError("not what the page sends")
            wish = json.loads(self.rfile.read(size))
            answer = self.server.explain(wish) if asks == "explain" else \
                self.server.do(wish) if asks == "do" else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.refuse(400, "The page does not ask that.")
            return
        if answer is None:
            self.refuse(404, "There is no such page.")
        else:
            self.answer(200, "application/json", json.dumps(answer).encode())

    # --- server-sent events ----------------------------------------------------------------------

    def stream(self):
        show = self.server.watcher.show
        with show.news:
            if show.watchers >= WATCHERS_MAX:
                self.refuse(503, "Too many pages are open.")
                return
            show.watchers += 1
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            self.send(greeting())
            self.server.watcher.again.set()
            self.tell(show)
        except OSError:
            pass  # the page is gone
        finally:
            with show.news:
                show.watchers -= 1
                show.left = time.monotonic()

    def send(self, value):
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def tell(self, show):
        """Send each look: of the slots only those that differ from the last one."""
        version, told, last = -1, 0, {}
        while True:
            with show.news:
                if show.version == version:
                    show.news.wait(PING)
                fresh = show.version != version
                version, now = show.version, show.picture
                state = {"state": show.state, "why": show.why, "slow": show.slow}
                events = [e for e in show.events if e["id"] > told]
            if not fresh:
                self.wfile.write(b": still here\n\n")
                self.wfile.flush()
                continue
            slots = now["slots"]
            self.send({**state, "booted": now["booted"], "harts": now["harts"],
                       "counts": now["counts"], "events": events,
                       "slots": {i: s for i, s in slots.items() if last.get(i) != s},
                       "gone": [i for i in last if i not in slots]})
            last, told = slots, events[-1]["id"] if events else told
            if state["state"] == "ended":
                return


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, key, watcher):
        super().__init__(("127.0.0.1", port), Handler)
        self.key, self.watcher = key, watcher
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    def handle_error(self, *_):
        pass  # a browser that closes a connection

    def do(self, wish):
        """Pass on what a button asks for."""
        control = self.watcher.control
        if control is None:
            return {"ok": False}
        what, unit = wish["do"], wish.get("unit", "call")
        if unit not in ("call", "trap"):
            raise ValueError(unit)
        if what in ("pause", "run"):
            control.ask(what)
        elif what == "step":
            control.ask("step", unit)
        elif what == "slow":
            period = float(wish["period"])
            control.ask("slow", unit, min(max(period, PERIODS[0]), PERIODS[1]))
        else:
            raise ValueError(what)
        return {"ok": True}

    def explain(self, wish):
        address, hart = wish["address"], int(wish.get("hart", 0))
        if not isinstance(address, str) or not 0 < len(address) < 200 or hart < 0:
            raise ValueError("no address")
        return {"lines": self.watcher.explain(address, hart)}
