"""Hypothesis strategies for the model's values."""

from __future__ import annotations

from hypothesis import strategies as st

from penstock.model import clusters, metadata, topics

names = st.text("ab1", min_size=1, max_size=4)
offsets = st.integers(min_value=0, max_value=2**63 - 1)

placements = st.builds(
    topics.Placement,
    cluster=names,
    topic=names,
    partitions=st.integers(1, 4_096),
    replication=st.integers(1, 5),
    config=st.dictionaries(names, names, max_size=3),
)

epochs = st.builds(
    topics.Epoch,
    number=st.integers(1, 100),
    state=st.sampled_from(topics.EpochState),
    routing=st.sampled_from(topics.Routing),
    placements=st.lists(placements, max_size=3).map(tuple),
    sealed=st.dictionaries(names, st.lists(offsets, max_size=3).map(tuple), max_size=2),
)

any_topics = st.builds(
    topics.Topic,
    name=names,
    environment=names,
    owner=names,
    description=st.sampled_from(["", "ünïcode", "plain"]),
    ordering=st.sampled_from(topics.Ordering),
    epochs=st.lists(epochs, max_size=2).map(tuple),
    active_cluster=st.one_of(st.just(""), names),
)

any_clusters = st.builds(
    clusters.Cluster,
    name=names,
    environment=names,
    category=st.sampled_from(clusters.Category),
    region=names,
    bootstrap=st.dictionaries(st.sampled_from(clusters.AuthMode), names, max_size=4),
    state=st.sampled_from(clusters.ClusterState),
    cluster_id=names,
    embedded=st.booleans(),
)

snapshots = st.builds(
    metadata.Snapshot,
    version=st.integers(1, 2**62),
    clusters=st.lists(any_clusters, max_size=3).map(lambda them: {c.name: c for c in them}),
    topics=st.lists(any_topics, max_size=3).map(lambda them: {t.ident: t for t in them}),
)
