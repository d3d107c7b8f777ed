"""Every option from every source, and what is said when one is wrong."""

from pathlib import Path

import pytest

from plait.agent.config import Config, Datapath, load
from plait.agent.document import document
from plait.agent.option import ConfigError, declared
from plait.model.entities import Transport
from plait.net.stream import TlsFiles

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plait.toml"


def test_without_any_source_every_option_has_its_default() -> None:
    config = load(environment={})
    assert config.store == "sqlite:///var/lib/plait/plait.db"
    assert config.ovsdb == "unix:/var/run/openvswitch/db.sock"
    assert config.openflow == "unix:/var/run/openvswitch/br-int.mgmt"
    assert config.host
    assert "." not in config.host
    assert config.tls is None
    assert config.datapath is Datapath.AUTO
    assert config.transports == tuple(Transport)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('host = "file"\nbridge = "file"\nlease_ttl_s = 20\nlog_level = "debug"\n')
    environment = {"PLAIT_HOST": "environment", "PLAIT_BRIDGE": "environment"}
    config = load({"host": "flag", "store": None}, file=file, environment=environment)
    assert (config.host, config.bridge, config.lease_ttl_s) == ("flag", "environment", 20.0)


def test_defaults_follow_the_options_that_they_name() -> None:
    config = load({"ovs_rundir": "/run/ovs{1}", "bridge": "br9"}, environment={})
    assert config.ovsdb == "unix:/run/ovs{1}/db.sock"
    assert config.openflow == "unix:/run/ovs{1}/br9.mgmt"


def test_the_file_can_be_named_by_the_environment(file: Path) -> None:
    file.write_text('host = "h7"\n')
    assert load(environment={"PLAIT_CONFIG": str(file)}).host == "h7"


def test_lists_are_written_as_lists_or_with_commas(file: Path) -> None:
    file.write_text('transports = ["gre", "vxlan", "gre"]\n')
    assert load(file=file, environment={}).transports == (Transport.GRE, Transport.VXLAN)
    assert load({"transports": "geneve, gre"}, environment={}).transports == (Transport.GENEVE, Transport.GRE)


def test_an_empty_text_unsets_an_optional_option(file: Path) -> None:
    file.write_text('underlay_address = "10.0.0.1"\n')
    assert load({"underlay_address": ""}, file=file, environment={}).underlay_address is None


def test_tls_needs_three_files() -> None:
    files = {"tls_ca": "/ca", "tls_cert": "/cert", "tls_key": "/key"}
    assert load({"ovsdb": "ssl:10.0.0.1:6640", **files}, environment={}).tls == TlsFiles(
        "/ca", "/cert", "/key"
    )
    with pytest.raises(ConfigError, match="needs tls_ca, tls_cert and tls_key"):
        load({"ovsdb": "ssl:10.0.0.1:6640", "tls_ca": "/ca"}, environment={})


def test_foreign_variables_with_our_prefix_are_let_be() -> None:
    load(
        environment={
            "PLAIT_SERVICE_HOST": "10.96.0.1",
            "PLAIT_STORE_PASSWORD": "secret",
            "PLAIT_PORT": "tcp://x",
        }
    )


def test_settings_of_the_command_line_may_stand_in_the_same_file(file: Path) -> None:
    file.write_text('host = "h7"\nproject = "shop"\nvni_first = 5000\nvni_last = 6000\n')
    assert load(file=file, environment={}).host == "h7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('hots = "a"\n', "unknown option 'hots' in .*: did you mean 'host'"),
        ('lease-ttl-s = "a"\n', "did you mean 'lease_ttl_s'"),
        ("zzzzz = 1\n", "options are host, store"),
        ('[host]\nname = "a"\n', "host = .*takes a text"),
        ("host = 5\n", "option host = 5 .*takes a text"),
        ('host = ""\n', "takes a text"),
        ("lease_ttl_s = true\n", "takes a number from 2 to 300 .seconds"),
        ("lease_ttl_s = nan\n", "takes a number from 2 to 300"),
        ("lease_ttl_s = 1\n", "takes a number from 2 to 300"),
        ("bundle_flows = 1.5\n", "takes a whole number"),
        ("bundle_flows = 0\n", "takes a whole number from 1 to 10000"),
        ('datapath = "kernel"\n', "takes auto, system or netdev"),
        ("datapath = 5\n", "takes auto, system or netdev"),
        ('transports = ["vlan"]\n', "takes vxlan, geneve or gre"),
        ("transports = []\n", "takes a list"),
        ("transports = [[1]]\n", "takes vxlan, geneve or gre"),
        ('ovsdb = "/run/db.sock"\n', "it takes unix:<path>"),
        ('host = "a/b"\n', "option host 'a/b' is not a name"),
        ('bridge = "much-too-long-name"\n', "option bridge: .*not a Linux interface name"),
        ('port_io = "afxdp"\ndatapath = "system"\n', "does nothing with datapath = 'system'"),
        ('port_io = "dpdk"\n', "takes packet or afxdp"),
        ('underlay_address = "here"\n', "option underlay_address 'here' is not an IPv4 or IPv6 address"),
        ("host = \n", "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong_and_what_would_do(
    file: Path, text: str, said: str
) -> None:
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=said) as refused:
        load(file=file, environment={})
    assert "\n" not in str(refused.value)


def test_the_source_of_a_wrong_value_is_named(file: Path) -> None:
    file.write_text("bundle_flows = 0\n")
    with pytest.raises(ConfigError, match=f"in {file}"):
        load(file=file, environment={})
    with pytest.raises(ConfigError, match=r"by \$PLAIT_BUNDLE_FLOWS"):
        load(environment={"PLAIT_BUNDLE_FLOWS": "many"})
    with pytest.raises(ConfigError, match="by --bundle-flows"):
        load({"bundle_flows": "-1"}, environment={})


def test_a_slip_in_the_environment_is_noticed() -> None:
    with pytest.raises(
        ConfigError, match=r"\$PLAIT_BUNDEL_FLOWS in the environment: did you mean \$PLAIT_BUNDLE"
    ):
        load(environment={"PLAIT_BUNDEL_FLOWS": "5"})


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        load(file=tmp_path / "missing.toml", environment={})


def test_every_option_says_what_it_does_and_every_number_its_unit_and_range() -> None:
    for one in declared(Config):
        assert one.option.effect.endswith("."), one.name
        if one.kind in (int, float):
            assert one.option.unit, one.name
            assert one.option.low <= one.default <= one.option.high, one.name


def test_the_page_of_the_documentation_is_up_to_date() -> None:
    written = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert written == document(), "run: python -m plait.agent.document > docs/configuration.md"
