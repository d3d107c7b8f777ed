"""Is only the agent stopping, or the whole host?"""

import subprocess


def host_is_shutting_down() -> bool:
    """Whether systemd is stopping the machine (systemctl(1), is-system-running); False without systemd."""
    try:
        state = subprocess.run(
            ["systemctl", "is-system-running"], capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return state.stdout.strip() == "stopping"
