ringtap_test(rdp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/rdp/rdp_test.cc LINK ringtap_protocol)
