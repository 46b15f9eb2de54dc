"""Addresses of pairs of sets."""

from django.urls import path

from leaderboard.benchmarks import views

urlpatterns = [
    path("sets/", views.sets, name="sets"),
    path("sets/<slug:slug>/", views.set_pair, name="set-pair"),
]
