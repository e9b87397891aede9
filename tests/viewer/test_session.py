"""What widgets share."""

import gc
from pathlib import Path

from napari.utils._proxies import PublicOnlyProxy

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.viewer.session import Session, session_of

ANNA, BERT = Case("anna", "anna", {}), Case("bert", "bert", {})


def cohort(*cases):
    return Cohort(Path("somewhere"), "folder_per_case", (), cases)


def test_signals_come_once_for_each_change():
    session, met = Session(), []
    session.run_changed.connect(met.append)

    session.run = Path("a")
    session.run = Path("a")
    session.run = None

    assert met == [Path("a"), None]


def test_another_cohort_drops_the_case_and_its_own_keeps_it():
    session = Session()
    session.cohort = cohort(ANNA, BERT)
    session.case = ANNA

    session.cohort = cohort(ANNA)
    kept = session.case
    session.cohort = cohort(BERT)

    assert kept is ANNA
    assert session.case is None


def test_a_viewer_and_the_proxy_that_widgets_get_have_one_session(viewer):
    assert session_of(PublicOnlyProxy(viewer)) is session_of(viewer)


def test_a_session_goes_with_its_viewer(qapp):
    from napari.components import ViewerModel

    from napari_mmssl.viewer import session as module

    before = len(module._sessions)
    viewer = ViewerModel()
    session_of(viewer)
    del viewer
    gc.collect()

    assert len(module._sessions) <= before + 1
