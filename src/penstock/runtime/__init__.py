"""Starts real Kafka and Penstock's own processes on one machine.

    artifacts ─▶ java ─▶ kraft ─▶ processes ─▶ embedded      tests: clusters without a supervisor
                                     └──▶ supervisor ─▶ platform      `penstock up`

Nothing here uses Java, Maven or Kafka of the machine: jars come by lock file, Java by wheel.
"""
