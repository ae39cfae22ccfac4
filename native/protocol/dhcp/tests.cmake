ringtap_test(dhcp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/dhcp/dhcp_test.cc LINK ringtap_protocol)
