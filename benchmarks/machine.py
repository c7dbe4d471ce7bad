"""What the figures were measured on."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import psutil

from .bandwidth import memory_bandwidth

LIBRARIES = ("jax", "jaxlib", "numpy", "optax", "torch")
# Bytes a second that the makers give for their cards' memory.
PEAK_BANDWIDTHS = {
    "A100-SXM4-40GB": 1.555e12,
    "A100-SXM4-80GB": 2.039e12,
    "H100 PCIe": 2.0e12,
    "H100 80GB HBM3": 3.35e12,
    "H200": 4.8e12,
}


def _processor() -> str:
    """The processor's name, where the system says it in the way Linux does."""
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def describe(peak_bandwidth: float | None = None) -> dict[str, Any]:
    """The machine, as it is written down with the results.

    **Arguments:** ``peak_bandwidth``: bytes a second that the device's memory is built
    for; by default that of a card whose name is known.
    """
    device = jax.devices()[0]
    on_gpu = device.platform == "gpu"
    if peak_bandwidth is None and on_gpu:
        known = (PEAK_BANDWIDTHS[k] for k in PEAK_BANDWIDTHS if k in device.device_kind)
        peak_bandwidth = next(known, None)
    return {
        "platform": device.platform,
        "device": device.device_kind if on_gpu else _processor(),
        "cores": len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "load before": os.getloadavg()[0],
        "bandwidth": memory_bandwidth(),
        "peak bandwidth": peak_bandwidth,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def sentence(machine: dict[str, Any]) -> str:
    """The machine in words."""
    place = "" if machine["platform"] == "gpu" else f" on {machine['cores']} cores"
    libraries = ", ".join(f"{k} {v}" for k, v in machine["libraries"].items() if v)
    peak = machine["peak bandwidth"]
    built_for = f" (built for {peak / 1e9:.0f} GB/s)" if peak else ""
    return (
        f"{machine['device']}{place}, memory bandwidth measured in the same run: "
        f"{machine['bandwidth'] / 1e9:.1f} GB/s{built_for}; "
        f"Python {machine['python']}, {libraries}. "
        f"The machine's load was {machine['load before']:.1f} before the run."
    )
