ringtap_test(stream SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/stream_test.cc LINK ringtap_protocol)
ringtap_test(events SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/writer_test.cc ${CMAKE_SOURCE_DIR}/native/protocol/digest_test.cc LINK ringtap_protocol)
