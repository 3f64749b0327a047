"""python -m examples.django_site.manage test examples.django_site"""

from django.test import RequestFactory, TestCase

from auth_agent.testing import approved, make_agent, sign_in
from auth_agent_django.testing import with_agent
from examples import pages
from examples.django_site import views


class ShopTest(TestCase):
    def test_anybody_sees_the_catalogue(self):
        self.assertContains(self.client.get("/"), "Sign in with Auth Agent")

    def test_a_stranger_is_asked_to_sign_in(self):
        for path in ("/me", "/reports"):
            self.assertEqual(self.client.get(path).status_code, 401)

    def test_an_agent_sees_who_it_is(self):
        sign_in(self.client, make_agent(id="agent_1"))
        self.assertEqual(self.client.get("/me").json()["agent_id"], "agent_1")

    def test_reports_need_a_scope(self):
        sign_in(self.client, make_agent())
        self.assertEqual(self.client.get("/reports").status_code, 403)
        sign_in(self.client, make_agent(scopes=["reports:read"]))
        self.assertEqual(self.client.get("/reports").status_code, 200)

    def test_a_refund_needs_the_owner(self):
        scopes = ["refunds:write"]
        sign_in(self.client, make_agent(scopes=scopes))
        refused = self.client.post("/refunds/1041")
        self.assertEqual(refused.status_code, 401)
        self.assertEqual(refused.json()["error"], "insufficient_authorization")
        sign_in(self.client, make_agent(scopes=scopes, claims=approved(pages.refund_of("1041"))))
        self.assertEqual(self.client.post("/refunds/1041").json(), {"refunded": "12.00"})
        self.assertEqual(self.client.post("/refunds/1041").status_code, 401)
        self.assertEqual(self.client.post("/refunds/9").status_code, 404)

    async def test_an_async_client(self):
        await sign_in(self.async_client, make_agent(id="agent_1"))
        answer = await self.async_client.get("/me")
        self.assertEqual(answer.json()["agent_id"], "agent_1")

    async def test_one_view_alone(self):
        request = with_agent(RequestFactory().get("/me"), make_agent(id="agent_1"))
        self.assertContains(await views.me(request), "agent_1")
        stranger = with_agent(RequestFactory().get("/me"), None)
        self.assertEqual((await views.me(stranger)).status_code, 401)
