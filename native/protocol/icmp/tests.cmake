ringtap_test(icmp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/icmp/icmp_test.cc LINK ringtap_protocol)
