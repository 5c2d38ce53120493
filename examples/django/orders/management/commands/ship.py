"""The worker: ships what was ordered, until SIGTERM."""

import signal
import threading

from django.core.management.base import BaseCommand

from orders.models import Order


class Command(BaseCommand):
    help = "Ships what was ordered, until SIGTERM."

    def handle(self, *args, **options):
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        self.stdout.write(f"worker started, {Order.objects.filter(shipped=False).count()} orders wait")
        while not stop.wait(timeout=1):
            Order.objects.filter(shipped=False).update(shipped=True)
        self.stdout.write("worker stopped")
