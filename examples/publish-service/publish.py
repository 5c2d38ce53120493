#!/usr/bin/env python3
"""A publish service in small: asks for a build, follows it, and acts on its report. Needs pika (Debian: python3-pika)."""
import json
import os
import sys
import time
import uuid

import pika

PREFIX = os.environ.get("SLIPWAY_PREFIX", "slipway")


def publish(url, request):
    request = {"version": 1, "id": str(uuid.uuid4()), **request}
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    # Listen before asking. A service that restarts would keep a durable queue of its own for the reports.
    names = (request["application"][part].replace(".", "_") for part in ("product_line", "name"))
    mine = channel.queue_declare("", exclusive=True).method.queue
    key = ".".join(names) + ".*"
    for exchange in ("events", "reports"):
        channel.queue_bind(mine, f"{PREFIX}.{exchange}", key)
    # With confirms and `mandatory`, a message that reaches no queue is an error and not lost.
    channel.confirm_delivery()
    now = int(time.time())
    about = {"message_id": request["id"], "timestamp": now, "content_type": "application/json", "delivery_mode": 2}
    properties = pika.BasicProperties(type="build", **about)
    lane = request.get("lane", "interactive")
    channel.basic_publish(f"{PREFIX}.requests", lane, json.dumps(request), properties, mandatory=True)
    if request.get("supersede"):  # Older builds end now, and not only when a worker takes this one.
        key = "/".join([*(request["application"][part] for part in ("product_line", "name")), request["supersede"]])
        claim = {"version": 1, "id": request["id"], "key": key, "sent_at": now}
        properties = pika.BasicProperties(type="supersede", **about)
        channel.basic_publish("", f"{PREFIX}.control", json.dumps(claim), properties, mandatory=True)
    for delivery, about, body in channel.consume(mine, auto_ack=True):
        if about.message_id != request["id"]:
            continue
        if about.type == "report":  # The first one counts; any further is a repetition.
            return json.loads(body)
        event = json.loads(body)
        print(event["kind"], event.get("step", ""), *event.get("lines", []), sep="\t", file=sys.stderr)


if __name__ == "__main__":
    report = publish(os.environ["AMQP_URL"], json.load(sys.stdin))
    print(json.dumps(report, indent=2))
    sys.exit(0 if report["outcome"] == "succeeded" else 1)
