"""A real ComfyUI for the demo, the tests and the benchmarks: installed, started and spoken to over HTTP."""
