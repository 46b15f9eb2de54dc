"""Addresses of submissions and runs, and of the pages of a pair that are about runs too."""

from django.urls import path

from leaderboard.submissions import burning, graders, releasing, views

urlpatterns = [
    path("submit/", views.submit, name="submit"),
    path("mine/", views.mine, name="mine"),
    path("status/", views.status, name="status"),
    path("commitments/", views.commitments, name="commitments"),
    path("runs/<uuid:run_id>/", views.run, name="run"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel-run"),
    path("runs/<uuid:run_id>/continue/", views.continue_run, name="continue-run"),
    path("runs/<uuid:run_id>/requeue/", views.requeue, name="requeue-run"),
    path("runs/<uuid:run_id>/retract/", views.retract, name="retract-run"),
    path("runs/<uuid:run_id>/grade-again/", graders.again, name="grade-again"),
    path("sets/<slug:slug>/graders/", graders.graders, name="set-graders"),
    path("sets/<slug:slug>/graders/switch/", graders.switch, name="switch-grader"),
    path("sets/register/pair/", releasing.register_pair, name="register-pair"),
    path("sets/<slug:slug>/", releasing.set_pair, name="set-pair"),
    path("sets/<slug:slug>/withdraw/", releasing.withdraw_pair, name="withdraw-pair"),
    path("sets/<slug:slug>/registered/", releasing.registered, name="pair-registered"),
    path("sets/<slug:slug>/release/", releasing.release, name="set-release"),
    path("sets/<slug:slug>/release/evidence.json", releasing.evidence, name="release-evidence"),
    path("sets/<slug:slug>/release/propose/", releasing.propose, name="propose-release"),
    path("sets/<slug:slug>/release/withdraw/", releasing.withdraw, name="withdraw-release"),
    path("sets/<slug:slug>/burn/", burning.burn, name="set-burn"),
]
