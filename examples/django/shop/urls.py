"""Which view answers which path."""

from django.urls import path

from orders import views

urlpatterns = [
    path("", views.index),
    path("health", views.health),
    path("orders", views.orders),
]
