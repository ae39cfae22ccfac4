ringtap_test(pcap SERIAL SOURCES ${CMAKE_SOURCE_DIR}/native/test/pcap_test.cc LINK ringtap_backend_pcap)
