"""The systemd unit is one that systemd takes."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "packaging" / "plait-agent.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # The command is replaced because systemd insists on its being installed.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/plait", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_a_stop_or_restart_of_the_agent_stops_nothing_else() -> None:
    unit = UNIT.read_text()
    assert "Requires=" not in unit
    assert "BindsTo=" not in unit
    assert "PartOf=" not in unit
