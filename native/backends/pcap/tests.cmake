ringtap_test(pcap SOURCES ${CMAKE_SOURCE_DIR}/native/test/pcap_test.cc LINK ringtap_backend_pcap)
