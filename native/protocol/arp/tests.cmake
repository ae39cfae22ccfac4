ringtap_test(arp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/arp/arp_test.cc LINK ringtap_protocol)
