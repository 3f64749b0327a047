from django.contrib import admin
from django.urls import path

from examples.django_site import views

urlpatterns = [
    path("", views.catalogue),
    path("orders", views.orders),
    path("refunds", views.Refunds.as_view()),
    path("refunds/<number>", views.refund),
    path("me", views.me),
    path("private/report", views.private_report),
    path("reports", views.reports),
    path("account", views.account),
    path("person", views.person),
    path("favicon.ico", views.favicon),
    path("admin/", admin.site.urls),
]
