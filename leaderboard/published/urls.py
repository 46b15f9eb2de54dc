"""Addresses of the tables that others published."""

from django.urls import path

from leaderboard.published import chart_views, views

urlpatterns = [
    path("published/", views.index, name="published-tables"),
    path("published/<slug:slug>/", views.page, name="published"),
    path("published/<slug:slug>/models/<path:name>/", views.model, name="published-model"),
    path("published/<slug:slug>/families/<path:name>/", views.family, name="published-family"),
    path("published/<slug:slug>.csv", views.as_csv, name="published-csv"),
    path(
        "published/<slug:slug>/charts/<slug:chart>/",
        chart_views.of_published,
        name="published-chart",
    ),
]
