"""What of Updraft runs inside the user's Python: one warm process and the children it forks.

It decides nothing. It starts Airflow's own entry points with the sockets they expect; every
question they ask is answered by the Rust process at the other end.
"""
