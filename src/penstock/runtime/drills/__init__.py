"""Rehearse the loss of a cluster, on real clusters under real load, and count every record.

load ─SDK─▶ topic ─▶ clusters          victims: how a cluster is lost, and brought back
  └─ acks ─┐            │
           ├─▶ accounts ◀─ readback     cluster_loss: the whole drill, step by step
"""
