"""The shop's pages."""

from django.conf import settings
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from .models import Order


@require_GET
def index(request):
    return render(request, "orders/index.html", {"name": settings.SHOP_NAME})


@require_GET
def health(request):
    return JsonResponse({"status": "ok", "orders": Order.objects.count()})


@require_http_methods(["GET", "POST"])
def orders(request):
    if request.method == "POST":
        order = Order.objects.create(item=request.POST.get("item", "")[:100])
        return JsonResponse({"id": order.id}, status=201)
    return JsonResponse({"orders": list(Order.objects.values("id", "item", "shipped")[:100])})
