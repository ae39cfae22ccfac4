ringtap_fuzz(rdp SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/rdp/rdp_fuzz.cc LINK ringtap_protocol)
