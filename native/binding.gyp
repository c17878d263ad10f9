{
  "targets": [
    {
      "target_name": "pcapts_capture",
      "sources": ["addon.c", "capture.c", "filter.c", "interfaces.c", "lock.c", "notify.c", "pcap-library.c"],
      "cflags": ["-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden", "-U_FORTIFY_SOURCE"],
      "cflags!": ["-fno-strict-aliasing"],
      "libraries": ["-ldl", "-lpthread"]
    }
  ]
}
