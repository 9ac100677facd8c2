"""The fleet's page and the adherence report of a person, in the back office."""

from accounts.models import User
from tests.admin.desk import body, signed_in, written_by
from tests.clients import Phone, Unit

FLEET = "/admin/fleet/"


def report_of(phone: Phone) -> str:
    return f"/admin/customers/{phone.user.pk}/report/"


def test_the_fleet(kitchen: Unit) -> None:
    desk = signed_in("ops")
    page = body(desk.get(FLEET))
    assert "Dispensers by type" in page
    assert page.count('viewBox="0 0 640 220"') == 2
    assert f'href="{FLEET}"' in body(desk.get("/admin/"))


def test_the_report_of_a_person(alice: Phone, kitchen: Unit) -> None:
    kitchen.cup(True)
    User.objects.filter(pk=alice.user.pk).update(full_name="<b>Ay\u015fe</b>")
    desk = signed_in("support_l2")
    assert report_of(alice) in body(desk.get(f"/admin/customers/{alice.user.pk}/"))
    assert "&lt;b&gt;Ay\u015fe&lt;/b&gt;" in body(desk.get(report_of(alice)))
    paper = desk.get(report_of(alice) + "?format=pdf")
    assert (paper["Content-Type"], paper.content[:5]) == ("application/pdf", b"%PDF-")
    assert written_by(desk)[-1] == ("report_viewed", "customer", str(alice.user.pk))


def test_the_first_level_needs_the_support_code(alice: Phone) -> None:
    desk = signed_in("support_l1")
    for path in (report_of(alice), report_of(alice) + "?format=pdf"):
        assert desk.get(path).status_code == 403
    assert "report_viewed" not in str(written_by(desk))
    assert (
        signed_in("support_l2").get("/admin/customers/00000000-0000-4000-8000-000000000000/report/").status_code
        == 404
    )
