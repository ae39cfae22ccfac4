ringtap_fuzz(ssh SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/ssh/ssh_fuzz.cc LINK ringtap_protocol)
