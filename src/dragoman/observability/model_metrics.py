"""The metrics of models, which are read from the server whenever the page is scraped."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ModelCounts(Struct, frozen=True):
    """The counts of one model since the server started. `restarts` are those of its engines, `memory` is in bytes."""

    model: str
    loaded: bool
    loads: int
    failures: int
    restarts: int
    memory: int


class ModelCollector(Collector):
    """Makes metrics of the counts of all models."""

    def __init__(self, counts: Callable[[], Sequence[ModelCounts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics; restarts are those of all engines together."""
        models = self._counts()
        restarts = sum(model.restarts for model in models)
        yield CounterMetricFamily("dragoman_engine_restarts", "How often engines died and were restarted", value=restarts)
        loaded = GaugeMetricFamily("dragoman_model_loaded", "Whether the model is loaded", labels=["model"])
        memory = GaugeMetricFamily("dragoman_model_memory_bytes", "Memory of the loaded model, estimated", labels=["model"])
        loads = CounterMetricFamily("dragoman_model_loads", "How often the model was loaded", labels=["model"])
        failures = CounterMetricFamily("dragoman_model_load_failures", "How often loading it failed", labels=["model"])
        for model in models:
            loaded.add_metric([model.model], model.loaded)
            memory.add_metric([model.model], model.memory if model.loaded else 0)
            loads.add_metric([model.model], model.loads)
            failures.add_metric([model.model], model.failures)
        yield from (loaded, memory, loads, failures)
