"""The records of a training run as a labelled Dataset."""

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift.training.history import EpochRecord, History

NUMBERS = st.floats(-1e6, 1e6) | st.just(math.nan)


@st.composite
def histories(draw):
    sites = draw(st.lists(st.text("abz", min_size=1), min_size=1, max_size=4, unique=True))
    records = draw(
        st.lists(
            st.builds(
                EpochRecord,
                loss=NUMBERS,
                log_likelihood=NUMBERS,
                kl=st.fixed_dictionaries({site: NUMBERS for site in sites}),
                kl_scale=st.fixed_dictionaries({site: NUMBERS for site in sites}),
                validation_loss=NUMBERS,
                learning_rate=NUMBERS,
                epoch=st.just(0),
            ),
            max_size=5,
        )
    )
    numbered = [replace(record, epoch=number) for number, record in enumerate(records, start=1)]
    return History(sites, records=numbered)


@settings(max_examples=50, deadline=None)
@given(histories())
def test_every_number_is_found_by_its_labels(history):
    found = history.to_xarray()
    assert dict(found.sizes) == {"epoch": len(history.records), "site": len(history.sites)}
    assert list(found.epoch) == [record.epoch for record in history.records]
    for epoch, record in enumerate(history.records, start=1):
        row = found.sel(epoch=epoch)
        for name in ("loss", "log_likelihood", "validation_loss", "learning_rate"):
            np.testing.assert_equal(float(row[name]), getattr(record, name))
        for site in history.sites:
            np.testing.assert_equal(float(row.kl.sel(site=site)), record.kl[site])
            np.testing.assert_equal(float(row.kl_scale.sel(site=site)), record.kl_scale[site])


@pytest.fixture
def history():
    records = [
        EpochRecord(3.0, -2.0, {"z": 1.0}, {"z": 0.1 * k}, math.nan, 1e-3, k) for k in (1, 2)
    ]
    return History(["z"], records=records).to_xarray({"stopped": "completed", "seed": 0})


def test_dimensions_and_units(history):
    assert {name: value.dims for name, value in history.data_vars.items()} == {
        "loss": ("epoch",),
        "log_likelihood": ("epoch",),
        "validation_loss": ("epoch",),
        "learning_rate": ("epoch",),
        "kl": ("epoch", "site"),
        "kl_scale": ("epoch", "site"),
    }
    in_nats = {name for name, value in history.data_vars.items() if value.attrs.get("units")}
    assert in_nats == {"loss", "log_likelihood", "validation_loss", "kl"}
    assert all(history[name].attrs["units"] == "nat" for name in in_nats)
    assert all(value.attrs["long_name"] for value in history.data_vars.values())


def test_without_epochs_the_shape_remains():
    empty = History(["offset", "z"]).to_xarray()
    assert dict(empty.sizes) == {"epoch": 0, "site": 2}
    assert empty.kl.shape == (0, 2)


def test_round_trip_to_netcdf(history, tmp_path):
    history.to_netcdf(tmp_path / "history.nc", engine="h5netcdf")
    loaded = xr.load_dataset(tmp_path / "history.nc", engine="h5netcdf")
    xr.testing.assert_identical(history, loaded)
