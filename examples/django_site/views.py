"""The pages of the shop."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from auth_agent import Requirement
from auth_agent_django import (
    RequiresAgentMixin,
    login_path,
    logout_path,
    requires_agent,
    requires_approval,
)
from auth_agent_django.accounts.models import AgentProfile
from examples import pages
from examples.django_site.models import Order


def catalogue(request: HttpRequest) -> HttpResponse:
    """Shows everyone the catalogue, and who is signed in."""
    return _show(pages.catalogue_page(_visitor(request, "/me")))


@requires_agent
def orders(request: HttpRequest) -> HttpResponse:
    """Needs an agent."""
    return _show(pages.orders_page(_visitor(request, "/orders")))


class Refunds(RequiresAgentMixin, View):
    """Needs an agent that was granted a scope."""

    requirement = Requirement(scopes=("refunds:write",))

    def get(self, request: HttpRequest) -> HttpResponse:
        return _show(pages.refunds_page(_visitor(request, "/refunds")))


def refund_act(request: HttpRequest) -> dict[str, str]:
    """Returns the act that the agent's owner is asked to approve."""
    act = pages.refund_of(request.resolver_match.kwargs["number"])
    if act is None:
        raise Http404
    return act


@csrf_exempt  # an agent sends no form of ours; the guard refuses other websites' pages
@require_POST
@requires_approval(refund_act, scopes=["refunds:write"])
def refund(request: HttpRequest, number: str) -> JsonResponse:
    """Needs the approval of the agent's owner, for this very refund, once."""
    return JsonResponse({"refunded": request.approval["amount"]})


@requires_agent
async def me(request: HttpRequest) -> JsonResponse:
    """Needs an agent."""
    agent = request.agent
    return JsonResponse(
        {
            "agent_id": agent.id,
            "issuer": agent.issuer,
            "model": agent.model,
            "email": agent.email,
            "scopes": list(agent.scopes),
            "via": agent.via,
        }
    )


def private_report(request: HttpRequest) -> JsonResponse:
    """Knows nothing of agents; AUTH_AGENT_PROTECT=/private/* guards it."""
    return JsonResponse({"report": "42 orders this week"})


@requires_agent(scopes=["reports:read"])
def reports(request: HttpRequest) -> JsonResponse:
    """Needs an agent that was granted a scope."""
    return JsonResponse({"reports": ["orders", "refunds"]})


@requires_agent
def account(request: HttpRequest) -> JsonResponse:
    """Shows in whose name the agent acts, as `AUTH_AGENT["ACCOUNTS"]` says, and its orders."""
    agent = request.agent
    if agent.account_id is None:
        return JsonResponse({"acts_for": None, "owner": None, "orders": []})
    profile = AgentProfile.objects.get(issuer=agent.issuer, subject=agent.id)
    if profile.scenario == AgentProfile.Scenario.FULL:
        user = get_user_model().objects.get(pk=agent.account_id, is_active=True)
        acts_for, placed = user.get_username(), Order.objects.filter(user=user)
    else:
        acts_for, placed = profile.subject, Order.objects.filter(agent=profile)
    owner = profile.user.get_username() if profile.user else None
    return JsonResponse(
        {"acts_for": acts_for, "owner": owner, "orders": [order.item for order in placed]}
    )


@csrf_exempt
@require_POST
def person(request: HttpRequest) -> HttpResponse:
    """Signs a person in or out: a name to show beside the agent, which permits nothing."""
    response = HttpResponseRedirect("/")
    response.status_code = 303
    if pages.PERSON_COOKIE in request.COOKIES:
        response.delete_cookie(pages.PERSON_COOKIE)
    else:
        response.set_cookie(pages.PERSON_COOKIE, pages.PERSON, httponly=True, samesite="Lax")
    return response


def favicon(request: HttpRequest) -> HttpResponse:
    """Answers that there is no icon."""
    return HttpResponse(status=204)


def _visitor(request: HttpRequest, next_path: str) -> pages.Visitor:
    return pages.Visitor(
        request.agent,
        login_path(request, next_path),
        logout_path(request),
        request.COOKIES.get(pages.PERSON_COOKIE),
        "/person",
    )


def _show(page: pages.Page) -> HttpResponse:
    return HttpResponse(page.html, headers=page.headers)
