"""Counts who asks; closes its connections on SIGTERM."""

import asyncio
import os
import signal

import tornado.web


class Health(tornado.web.RequestHandler):
    def get(self):
        self.write({"status": "ok"})


class Count(tornado.web.RequestHandler):
    count = 0

    def get(self):
        Count.count += 1
        self.write({"count": Count.count})


async def main():
    port = int(os.environ.get("PORT", "8080"))
    application = tornado.web.Application([(r"/health", Health), (r"/count", Count)])
    server = application.listen(port)
    print(f"listening on port {port}")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.stop()
    await server.close_all_connections()
    print("stopped")


if __name__ == "__main__":
    asyncio.run(main())
