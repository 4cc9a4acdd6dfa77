"""The addresses of the project."""

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, re_path
from django.views.generic import TemplateView
from view import chatkit, files

urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="chat.html"))),
    path("chatkit", chatkit),
    re_path("^chatkit/files(/.+)?$", files),
    path("sign-in", LoginView.as_view(template_name="sign_in.html")),
    path("sign-out", LogoutView.as_view()),
]
