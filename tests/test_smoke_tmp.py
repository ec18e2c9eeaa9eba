from conftest import MARY
def test_a(clinic):
    from jhe_server import patients
    assert clinic.call(patients.search, MARY, query=patients.PatientSearch()).count == 2
def test_b(exchange):
    assert exchange.as_(MARY).get("api/v1/patients").json()["count"] == 2
