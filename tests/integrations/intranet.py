"""A Django site behind the gate, as the page on WSGI shows one."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.backends import RemoteUserBackend
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from patmiddleware import grant_from

made: list[int] = []
"""The parts of a streamed answer that were made so far."""


class TokenOwnerBackend(RemoteUserBackend):
    """Makes users of owners, with names beyond ASCII too."""

    def clean_username(self, username: str) -> str:
        return username.encode("latin-1").decode()


def parts() -> Iterator[bytes]:
    """Give an answer in three parts, and note each as it is made."""
    for number in range(3):
        made.append(number)
        yield f"{number}\n".encode()


@csrf_exempt
def reports(request: HttpRequest) -> HttpResponse:
    grant = grant_from(request.META)
    told = (request.user.get_username(), request.META.get("AUTH_TYPE"), grant and grant.owner, request.META.get(REMOTE))
    return HttpResponse(" ".join(map(str, told)))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts())


REMOTE = "HTTP_REMOTE_USER"
urlpatterns = [path("reports/", reports), path("reports/stream", stream)]
