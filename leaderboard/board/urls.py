"""Addresses of the boards."""

from django.urls import path

from leaderboard.board import chart_views, feeds, index_views, views

urlpatterns = [
    path("boards/<slug:slug>/", views.board, name="board-of-pair"),
    path("boards/<slug:slug>.csv", views.board_csv, name="board-csv"),
    path("boards/<slug:slug>/feed.atom", feeds.board_feed, name="board-feed"),
    path("boards/<slug:slug>/models/<str:name>/badge.svg", feeds.badge, name="badge"),
    path("feed.atom", feeds.feed, name="feed"),
    path("metrics", feeds.prometheus, name="metrics"),
    path("closes.ics", feeds.calendar, name="closes"),
    path("boards/<slug:slug>/charts/<slug:chart>/", chart_views.of_board, name="board-chart"),
    path("boards/<slug:slug>/compare/", views.compare, name="board-compare"),
    path("boards/<slug:slug>/method/", index_views.method, name="board-method"),
    path("methodology/", views.methodology, name="methodology"),
    path("models/<str:name>/", views.model, name="model"),
    path("families/<str:name>/", views.family, name="family"),
]
